/** Milliseconds since the last call; of the first one, since it was made. */
export function stopwatch(): () => number {
  let last = Date.now();
  return () => {
    const now = Date.now();
    const elapsed = now - last;
    last = now;
    return elapsed;
  };
}
