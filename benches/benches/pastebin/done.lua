-- done.lua: prints the figures of a run. Called by wrk when it is done, whose own summary is for
-- people: rounded, and silent about what went well. No script of Redis: it has neither KEYS nor
-- ARGV.
--
-- Returns   nothing; it prints requests, microseconds, bytes, failures and the 99th percentile of
--           the latency in microseconds
function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  print(("\nfigures %d %d %d %d %d"):format(summary.requests, summary.duration, summary.bytes, failed, latency:percentile(99)))
end
