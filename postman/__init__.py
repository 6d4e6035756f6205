"""Makes the Postman collection of the repository from the OpenAPI document: ``make generated``."""
