"""The parts of the HTML report: escaped text, pictures as SVG by own code, sections (joined by ``html.py`` above)."""
