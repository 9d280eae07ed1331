-- Renew a gateway's leases, and correct what is written of its holds after a lost connection.
-- ARGV: this gateway's id, its lease, then for each key "least most".

for i, key in ipairs(KEYS) do
  local least, most = string.match(ARGV[i + 2], '(%d+) (%d+)')
  local bucket = open(key, 0, LEASE)
  correct_mine(bucket, tonumber(least), tonumber(most))
  if bucket.mine > 0 then
    write_lease(bucket)
    if redis.call('PTTL', key) < lease / 1000 then
      redis.call('PEXPIRE', key, math.ceil(lease / 1000))
    end
  elseif redis.call('HDEL', key, mine_field, ends_field) > 0 then
    redis.call('HSET', key, 'h', bucket.held)
  end
end
return 1
