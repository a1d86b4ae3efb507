"""The Lua that Redis runs, so that each write is whole or does not happen.

Each script repeats safely: the same call again changes nothing and publishes nothing.
"""

COMMIT = """
-- Replace an address's history if nobody has changed it since it was read.
-- KEYS: version, current, past, addresses, changes; then per touched binding with a
-- container: container, lifecycles, lifecycle-addresses
local plan = cjson.decode(ARGV[1])
if (redis.call('GET', KEYS[1]) or '') ~= plan.expected then return 0 end
local keep = plan.keep_seconds
redis.call('SET', KEYS[1], plan.version)
if plan.current ~= '' then
  redis.call('SET', KEYS[2], plan.current)
  redis.call('PERSIST', KEYS[1])
else
  redis.call('DEL', KEYS[2])
  redis.call('EXPIRE', KEYS[1], keep)
end
for _, raw in ipairs(plan.removed) do redis.call('ZREM', KEYS[3], raw) end
for _, add in ipairs(plan.added) do redis.call('ZADD', KEYS[3], add[1], add[2]) end
redis.call('EXPIRE', KEYS[3], keep)
redis.call('ZADD', KEYS[4], plan.now, plan.ip)
redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -1 - tonumber(plan.keep_addresses))
for i, touched in ipairs(plan.touched) do
  local container, lifecycles, held = KEYS[3 + 3 * i], KEYS[4 + 3 * i], KEYS[5 + 3 * i]
  redis.call('SADD', held, plan.ip)
  if touched.container ~= '' then
    redis.call('ZADD', lifecycles, touched.valid_from, touched.lifecycle_id)
    redis.call('ZREMRANGEBYRANK', lifecycles, 0, -1 - tonumber(plan.keep_lifecycles))
    local known = redis.call('HGET', container, 'lifecycle_id')
    local since = tonumber(redis.call('HGET', container, 'valid_from') or '0')
    if not known or known == touched.lifecycle_id or since <= tonumber(touched.valid_from) then
      if known and known ~= touched.lifecycle_id then redis.call('DEL', container) end
      redis.call('HDEL', container, 'valid_to')
      for _, pair in ipairs(touched.fields) do
        redis.call('HSET', container, pair[1], pair[2])
      end
      local addresses = redis.call('SMEMBERS', held)
      table.sort(addresses)
      redis.call('HSET', container, 'addresses', table.concat(addresses, ','))
    end
    for _, key in ipairs({container, lifecycles}) do
      if redis.call('HEXISTS', container, 'valid_to') == 1 then redis.call('EXPIRE', key, keep)
      else redis.call('PERSIST', key) end
    end
  end
  if touched.released then redis.call('EXPIRE', held, keep)
  else redis.call('PERSIST', held) end
end
for _, change in ipairs(plan.changes) do
  redis.call('XADD', KEYS[5], 'MAXLEN', '~', plan.keep_changes, '*', 'change', change)
end
return 1
"""

CALL = """
-- Put a tool call on its lifecycle; one that has ended never changes again.
-- KEYS: calls, calls-order, changes
-- ARGV: id, started, call, change, keep calls, keep seconds, keep changes
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old and (old == ARGV[3] or cjson.decode(old).ended) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
local excess = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[5])
if excess > 0 then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, excess - 1)) do
    redis.call('ZREM', KEYS[2], id)
    redis.call('HDEL', KEYS[1], id)
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[6])
redis.call('EXPIRE', KEYS[2], ARGV[6])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[7], '*', 'change', ARGV[4])
return 1
"""

RECORD = """
-- Publish an event once, and put it on the record of the lifecycle it concerns, if any.
-- KEYS: event-seen, events; then with a tag: incidents, incidents-order, container
-- ARGV: line, publish, keep events, seen seconds; then with a tag: field, time, lifecycle,
-- keep incidents, keep seconds
local fresh = 0
if ARGV[2] == '1' and redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[4]) then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'event', ARGV[1])
  fresh = 1
elseif ARGV[2] == '1' then
  -- A repeat is a write too: a replica that has it has what came before it.
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
if not KEYS[3] then return fresh end
if redis.call('HSETNX', KEYS[3], ARGV[5], ARGV[1]) == 0 then return fresh end
redis.call('ZADD', KEYS[4], ARGV[6], ARGV[5])
local excess = redis.call('ZCARD', KEYS[4]) - tonumber(ARGV[8])
if excess > 0 then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[4], 0, excess - 1)) do
    redis.call('ZREM', KEYS[4], id)
    redis.call('HDEL', KEYS[3], id)
  end
end
redis.call('EXPIRE', KEYS[3], ARGV[9])
redis.call('EXPIRE', KEYS[4], ARGV[9])
if redis.call('HGET', KEYS[5], 'lifecycle_id') == ARGV[7] then
  redis.call('HINCRBY', KEYS[5], 'incidents', 1)
  redis.call('HSET', KEYS[5], 'last_incident', ARGV[1])
end
return 1
"""
