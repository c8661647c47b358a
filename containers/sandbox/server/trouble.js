"use strict";
// Ways for a workload to go wrong, on request.
const { answer } = require("./answer.js");

/** Ends the process; the answer is sent first, so that the caller knows that it was heard. */
exports.crash = (_request, response) => {
  response.on("close", () => process.exit(1));
  answer(response, 202, { crashing: true });
};

/** Blocks the event loop for good: this request and every later one stay without an answer. */
exports.hang = () => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
};

const held = [];

/** Holds `mb` more megabytes and keeps a core busy for `ms` milliseconds (1,000), in slices that let others through. */
exports.burn = (_request, response, url) => {
  const mb = Math.min(Number(url.searchParams.get("mb") ?? 0) || 0, 16_384);
  const until = Date.now() + Math.min(Number(url.searchParams.get("ms") ?? 1000) || 0, 60_000);
  for (let i = 0; i < mb; i++) held.push(Buffer.alloc(1 << 20, 1));
  const slice = () => {
    const pause = Date.now() + 20;
    while (Date.now() < pause);
    if (Date.now() < until) setImmediate(slice);
  };
  slice();
  answer(response, 200, { heldMb: held.length });
};
