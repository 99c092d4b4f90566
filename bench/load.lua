-- What wrk sends. Its arguments are a mode, a directory and the number of threads:
--
--   same    the same request all the time
--   mixed   requests of many subjects for many paths, in a given sequence
--   each    each request with the next of many tokens, none of them twice
--   count   the same token, and a number in the path that is never the same
--   post    the same body all the time
--
-- The directory has the files tokens and paths (one a line), sequence (pairs of
-- their numbers), body, and headers (further ones, one a line), where the mode needs
-- them.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end

local function lines(name)
  local list = {}
  for line in io.lines(name) do
    list[#list + 1] = line
  end
  return list
end

local function exists(name)
  local file = io.open(name)
  if file then
    file:close()
  end
  return file ~= nil
end

local function slurp(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

function init(args)
  local mode, dir, count = args[1], args[2], tonumber(args[3])
  wrapped = 0
  local host = "\r\nHost: " .. wrk.host .. ":" .. wrk.port
    .. "\r\nUser-Agent: stagedoor-bench\r\nAccept: */*"
  if mode == "post" then
    local body = slurp(dir .. "/body")
    local whole = "POST " .. slurp(dir .. "/paths") .. " HTTP/1.1" .. host
      .. "\r\nContent-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
    request = function() return whole end
    return
  end

  local tokens, paths = lines(dir .. "/tokens"), lines(dir .. "/paths")
  local from = " HTTP/1.1" .. host .. "\r\nAuthorization: Bearer "
  if mode == "same" then
    local whole = "GET " .. paths[1] .. from .. tokens[1] .. "\r\n"
    if exists(dir .. "/headers") then
      whole = whole .. table.concat(lines(dir .. "/headers"), "\r\n") .. "\r\n"
    end
    whole = whole .. "\r\n"
    request = function() return whole end
  elseif mode == "each" then
    local start = "GET " .. paths[1] .. from
    local i = number - count
    request = function()
      i = i + count
      if i > #tokens then
        i, wrapped = number, wrapped + 1
      end
      return start .. tokens[i] .. "\r\n\r\n"
    end
  elseif mode == "count" then
    -- Numbers go on where an earlier run can't have been.
    local i = os.time() * 10000000 + number
    local start, rest = "GET " .. paths[1], from .. tokens[1] .. "\r\n\r\n"
    request = function()
      i = i + count
      return start .. string.format("%.0f", i) .. rest
    end
  elseif mode == "mixed" then
    local subjects, targets = {}, {}
    for subject, target in slurp(dir .. "/sequence"):gmatch("(%d+) (%d+)") do
      subjects[#subjects + 1], targets[#targets + 1] = tonumber(subject), tonumber(target)
    end
    local length = #subjects
    local i = math.floor(length / count) * (number - 1)
    request = function()
      i = i % length + 1
      return "GET " .. paths[targets[i]] .. from .. tokens[subjects[i]] .. "\r\n\r\n"
    end
  else
    error("no mode " .. tostring(mode))
  end
end

function done(summary, latency)
  local turns = 0
  for _, thread in ipairs(threads) do
    turns = turns + (tonumber(thread:get("wrapped")) or 0)
  end
  local e = summary.errors
  io.write(string.format(
    '\nRESULT {"requests": %d, "duration_us": %d, "p50_us": %.0f, "p99_us": %.0f, "max_us": %.0f, "failed": %d, "wrapped": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    e.connect + e.read + e.write + e.status + e.timeout, turns))
end
