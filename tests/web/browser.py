import shutil


def find_browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "This test needs Chromium: install it, for example with `apt-get install chromium`"
    return found
