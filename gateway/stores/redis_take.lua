-- Take every charge, or none.
-- ARGV: this gateway's id, its lease, then for each key "amount capacity window kind least most".
-- Reply: the charge that was refused (0: none), how long it has to wait, then for each charge its
-- slot, what is used, and how long until a quiet bucket is as good as new.

local function wait(bucket, amount, capacity)
  local need = bucket.booked + bucket.held + amount - capacity
  if amount > capacity then
    return NEVER
  elseif bucket.width == 0 then
    return need <= bucket.held and IN_FLIGHT or NEVER
  elseif bucket.first then
    local slots = range(bucket.first, bucket.last)
    for i, booked in ipairs(redis.call('HMGET', bucket.key, unpack(slots))) do
      need = need - (booked or 0)
      if need <= 0 then
        return (slots[i] + SLOTS + 1) * bucket.width - now
      end
    end
  end
  return IN_FLIGHT
end

local buckets, charges = {}, {}
local refused, longest = 0, 0
for i, key in ipairs(KEYS) do
  local amount, capacity, window, kind, least, most =
    string.match(ARGV[i + 2], '(%d+) (%d+) (%d+) (%d) (%d+) (%d+)')
  amount, capacity = tonumber(amount), tonumber(capacity)
  local bucket = open(key, tonumber(window), tonumber(kind))
  if bucket.kind ~= COUNT then
    correct_mine(bucket, tonumber(least), tonumber(most))
  end
  if amount > 0 and bucket.booked + bucket.held + amount > capacity then
    local seconds = wait(bucket, amount, capacity)
    if refused == 0 or longest ~= NEVER and (seconds == NEVER or seconds > longest) then
      refused, longest = i, seconds
    end
  end
  buckets[i], charges[i] = bucket, amount
end

local reply = {refused, longest}
for i, bucket in ipairs(buckets) do
  local quiet_from = bucket.last or bucket.slot
  if refused == 0 then
    quiet_from = bucket.slot
    if bucket.kind == COUNT then
      book(bucket, bucket.slot, charges[i])
    else
      bucket.held, bucket.mine = bucket.held + charges[i], bucket.mine + charges[i]
    end
    write(bucket)
  elseif bucket.held > 0 then
    quiet_from = bucket.slot
  end
  local used = bucket.booked + bucket.held
  reply[#reply + 1] = bucket.slot
  reply[#reply + 1] = used
  reply[#reply + 1] = used > 0 and bucket.width > 0
    and (quiet_from + SLOTS + 1) * bucket.width - now or 0
end
return reply
