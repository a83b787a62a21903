"""What makes the site: hooks of MkDocs, pictures, formulas, the reference, and a checker of links."""
