"""What the world may reach of seedbatch over HTTP."""
