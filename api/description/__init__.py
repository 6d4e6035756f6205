"""What the API is described by: OpenAPI for HTTP, AsyncAPI for the WebSocket. Loaded when somebody asks for it."""
