"""The store on MongoDB. Nothing outside this package imports PyMongo."""
