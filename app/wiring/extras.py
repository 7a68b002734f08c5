"""What to do when the package of an extra is missing."""

from app.core.errors import ConfigurationError


def missing_package(setting: str, extra: str, package: str) -> ConfigurationError:
    """`setting` is the name of the setting that chose the extra, such as EMBEDDER."""
    return ConfigurationError(
        f"{setting}={extra} needs the package {package}, which is not installed."
        f" Run `pip install -r deploy/requirements/{extra}.txt`, or `pip install 'keepsake[{extra}]'` if you"
        " installed the wheel."
    )
