from mcp.server.fastmcp import FastMCP

server = FastMCP("greeter")


@server.tool()
def greet(name: str) -> str:
    """Greets somebody"""
    return f"Hello, {name}!"


if __name__ == "__main__":
    server.run()
