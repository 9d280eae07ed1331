"""How much the gateway costs, beside nginx and a bare aiohttp pass-through in the same run: `make bench`."""
