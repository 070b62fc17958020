"""The report page: runs as one HTML file with tables, curves and drawn skeletons. Loads nothing from the network."""
