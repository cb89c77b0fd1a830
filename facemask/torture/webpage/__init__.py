"""The web page, attacked, fed with odd files and left open for long: start with `page`."""
