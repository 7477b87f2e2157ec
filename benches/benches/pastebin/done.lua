-- Called by wrk when it is done. Its own summary is for people: rounded, and silent about what went well.
function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  print(("\nfigures %d %d %d %d %d"):format(summary.requests, summary.duration, summary.bytes, failed, latency:percentile(99)))
end
