-- What the scripts share: a bucket, read and brought up to date. `redis_take`, `redis_settle` and
-- `redis_renew` are each run with this text before them.
--
-- A bucket is a hash:
--   b         what is booked; in a sliding one <slot> holds a slot's part of it
--   f, s      the first and the last slot
--   h         what all gateways hold; x: when the first of their leases ends
--   h:<id>    what one gateway holds; e:<id>: when its lease ends unless it is renewed
-- Times are microseconds of the server's clock, slots are counted from 1970.

local SLOTS = 60
local COUNT, RESERVE, LEASE, TOTAL = 0, 1, 2, 3
local NEVER, IN_FLIGHT = -1, -2

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lease = tonumber(ARGV[2])
local mine_field, ends_field = 'h:' .. ARGV[1], 'e:' .. ARGV[1]

local function range(first, last)
  local found = {}
  for slot = first, last do
    found[#found + 1] = slot
  end
  return found
end

-- Forget the slots that no longer count.
local function drop_slots(bucket)
  local oldest = bucket.slot - SLOTS
  local gone = range(bucket.first, math.min(bucket.last, oldest - 1))
  for _, amount in ipairs(redis.call('HMGET', bucket.key, unpack(gone))) do
    bucket.booked = bucket.booked - (amount or 0)
  end
  bucket.first = bucket.last < oldest and bucket.slot or oldest
  redis.call('HDEL', bucket.key, unpack(gone))
  redis.call('HSET', bucket.key, 'b', bucket.booked, 'f', bucket.first)
end

-- The clock was set back: what was booked counts as booked now, and leaves a window from now.
local function step_back(bucket)
  redis.call('HDEL', bucket.key, unpack(range(bucket.first, bucket.last)))
  bucket.first, bucket.last = bucket.slot, bucket.slot
  redis.call('HSET', bucket.key, 'f', bucket.slot, 's', bucket.slot, bucket.slot, bucket.booked)
end

-- Forget what gateways hold that did not renew their leases: they are gone.
local function drop_leases(bucket)
  local all = redis.call('HGETALL', bucket.key)
  local value = {}
  for i = 1, #all, 2 do
    value[all[i]] = all[i + 1]
  end
  bucket.held, bucket.due = 0, math.huge
  for name, ends in pairs(value) do
    local id = string.match(name, '^e:(.*)$')
    if id then
      ends = tonumber(ends)
      if ends <= now then
        redis.call('HDEL', bucket.key, name, 'h:' .. id)
      else
        bucket.held = bucket.held + (value['h:' .. id] or 0)
        bucket.due = math.min(bucket.due, ends)
      end
    end
  end
  bucket.mine = tonumber(redis.call('HGET', bucket.key, mine_field) or 0)
  if bucket.held > 0 then
    redis.call('HSET', bucket.key, 'h', bucket.held, 'x', bucket.due)
  else
    redis.call('HSET', bucket.key, 'h', 0)
  end
end

local function open(key, window, kind)
  local known = redis.call('HMGET', key, 'b', 'f', 's', 'h', 'x', mine_field)
  local bucket = {
    key = key, window = window, kind = kind, slot = 0, width = 0,
    booked = tonumber(known[1] or 0), first = tonumber(known[2] or nil),
    last = tonumber(known[3] or nil), held = tonumber(known[4] or 0),
    due = tonumber(known[5] or math.huge), mine = tonumber(known[6] or 0),
  }
  if kind == COUNT or kind == RESERVE then
    bucket.width = math.ceil(window / SLOTS)
    bucket.slot = math.floor(now / bucket.width)
    if bucket.last and bucket.last > bucket.slot then
      step_back(bucket)
    elseif bucket.first and bucket.first < bucket.slot - SLOTS then
      drop_slots(bucket)
    end
  end
  if bucket.held > 0 and bucket.due <= now then
    drop_leases(bucket)
  end
  return bucket
end

-- The gateway that asks knows what it holds: between `least` (granted) and `most` (in doubt).
local function correct_mine(bucket, least, most)
  local mine = math.max(least, math.min(bucket.mine, most))
  bucket.held = bucket.held + mine - bucket.mine
  bucket.mine = mine
end

-- Book an amount in a slot; the caller writes the bucket.
local function book(bucket, slot, amount)
  redis.call('HINCRBY', bucket.key, slot, amount)
  bucket.booked = bucket.booked + amount
  bucket.first = math.min(bucket.first or slot, slot)
  bucket.last = math.max(bucket.last or slot, slot)
end

-- Begin or prolong this gateway's lease of what it holds.
local function write_lease(bucket)
  local ends = now + lease
  bucket.due = bucket.held == bucket.mine and ends or math.min(bucket.due, ends)
  redis.call('HSET', bucket.key, 'h', bucket.held, 'x', bucket.due,
    mine_field, bucket.mine, ends_field, ends)
end

local function write(bucket)
  local kept = bucket.width > 0 and bucket.window + 2 * bucket.width or bucket.window
  if bucket.kind ~= COUNT then
    kept = math.max(kept, lease)
    if bucket.mine > 0 then
      write_lease(bucket)
    else
      redis.call('HDEL', bucket.key, mine_field, ends_field)
      redis.call('HSET', bucket.key, 'h', bucket.held)
    end
  end
  if bucket.last then
    redis.call('HSET', bucket.key, 'b', bucket.booked, 'f', bucket.first, 's', bucket.last)
  elseif bucket.kind == TOTAL then
    redis.call('HSET', bucket.key, 'b', bucket.booked)
  end
  redis.call('PEXPIRE', bucket.key, math.ceil(kept / 1000))
end
