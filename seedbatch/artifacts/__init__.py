from seedbatch.artifacts.store import ArtifactStore

__all__ = ["ArtifactStore"]
