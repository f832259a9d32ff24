"""Static files under names that change with their contents, so that a browser asks for each once."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class LastingStaticFiles(CompressedManifestStaticFilesStorage):
    """Name each file by its contents; a file that was not collected (in tests, and before the first start) keeps its plain name."""

    manifest_strict = False

    def stored_name(self, name: str) -> str:
        """Give the name under which a file was collected."""
        collected: str | None = self.hashed_files.get(self.hash_key(self.clean_name(name)))
        return collected or name
