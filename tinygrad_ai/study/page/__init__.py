"""The graph of a loss as a picture: a page to explore, or SVG, DOT and Mermaid."""
