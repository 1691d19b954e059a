"""The backends, each in a folder that is the only importer of its driver. Import none here: they load when they are
asked for.
"""
