/** Codes that may stand in a Close frame (RFC 6455 §7.4); the others only describe how a connection ended. */
const maySend = (code: number): boolean =>
  (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);

const NO_STATUS = 1005;
const MAX_REASON_BYTES = 123;

/** The code that tells one side how the other ended. Pure. */
export function closeCode(received: number): number {
  if (received === NO_STATUS) return 1000;
  return maySend(received) ? received : 1011;
}

/** The longest start of `reason` that fits into a Close frame, whole characters only. Pure. */
export function closeReason(reason: string): string {
  const bytes = new TextEncoder().encode(reason);
  if (bytes.length <= MAX_REASON_BYTES) return reason;
  let end = MAX_REASON_BYTES;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return new TextDecoder().decode(bytes.subarray(0, end));
}
