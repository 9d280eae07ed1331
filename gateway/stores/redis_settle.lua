-- Book what each charge came to, and end its hold.
-- ARGV: this gateway's id, its lease, then for each key "amount final slot window kind".

for i, key in ipairs(KEYS) do
  local amount, final, slot, window, kind =
    string.match(ARGV[i + 2], '(%d+) (%d+) (%d+) (%d+) (%d)')
  amount, final, slot = tonumber(amount), tonumber(final), tonumber(slot)
  local bucket = open(key, tonumber(window), tonumber(kind))
  if bucket.kind == COUNT then
    local booked = tonumber(redis.call('HGET', key, slot) or 0)
    local back = math.min(amount - final, booked)
    if back > 0 then
      book(bucket, slot, -back)
      write(bucket)
    end
  else
    local ended = math.min(amount, bucket.mine)
    bucket.held, bucket.mine = bucket.held - ended, bucket.mine - ended
    if bucket.kind == TOTAL then
      bucket.booked = bucket.booked + final
    elseif bucket.kind == RESERVE then
      slot = math.min(slot, bucket.slot)
      if slot >= bucket.slot - SLOTS and final > 0 then
        book(bucket, slot, math.min(final, amount))
      end
      if final > amount then
        book(bucket, bucket.slot, final - amount)
      end
    end
    if bucket.held <= 0 and bucket.kind == LEASE then
      redis.call('DEL', key)
    else
      write(bucket)
    end
  end
end
return 1
