"""Makes the sources of the site: the Markdown of ``docs/`` and a page for each rule, with pictures of real runs."""
