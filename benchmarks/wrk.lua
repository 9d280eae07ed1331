-- Sends one request over and over; the eight # in it become a number, so that no two requests are alike.
local before, after
-- Other numbers in each run: what an earlier one asked may have been kept, by the gateway and by its peers.
local serial = os.time() % 40000 * 100000

function init(arguments)
   local file = assert(io.open(arguments[1], "rb"))
   local request = file:read("*a")
   file:close()
   local at = assert(request:find("########", 1, true))
   before, after = request:sub(1, at - 1), request:sub(at + 8)
end

function request()
   serial = serial + 1
   return before .. string.format("%08x", serial) .. after
end

function done(summary)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   io.write(string.format("%d %d %d\n", summary.requests, summary.duration, failed))
end
