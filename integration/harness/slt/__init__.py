"""DataFusion's sqllogictest files: read, set up beside a node, run through it, compared."""
