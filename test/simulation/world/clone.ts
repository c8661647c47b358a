/**
 * A value as the other side of a call gets it: nothing is shared. Streams, requests, responses and stubs go by reference,
 * and what the platform cannot send is refused as it refuses it.
 */
export function across(value: unknown, carry: (passed: object) => unknown): unknown {
  switch (typeof value) {
    case "object":
      return value === null ? null : object(value, carry);
    case "function":
      return carry(value);
    case "symbol":
      throw new DOMException(`${String(value)} could not be cloned.`, "DataCloneError");
    default:
      return value;
  }
}

function object(value: object, carry: (passed: object) => unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => across(item, carry));
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) {
    const copy: Record<string, unknown> = {};
    for (const [name, item] of Object.entries(value)) copy[name] = across(item, carry);
    return copy;
  }
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof RegExp)
    return structuredClone(value);
  if (value instanceof Date) return new Date(value.getTime());
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [across(key, carry), across(item, carry)]));
  if (value instanceof Set) return new Set([...value].map((item) => across(item, carry)));
  if (value instanceof Error) return errorAcross(value);
  return carry(value);
}

const STANDARD = new Set([
  "Error",
  "TypeError",
  "RangeError",
  "SyntaxError",
  "ReferenceError",
  "EvalError",
  "URIError",
]);

/** The platform keeps message and the standard names; other classes arrive as Error, with what they are called before it. */
export function errorAcross(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  const copy = new Error(STANDARD.has(error.name) ? error.message : `${error.name}: ${error.message}`);
  if (STANDARD.has(error.name)) copy.name = error.name;
  for (const flag of ["retryable", "overloaded", "durableObjectReset"]) {
    if (flag in error) Object.assign(copy, { [flag]: (error as unknown as Record<string, unknown>)[flag] });
  }
  return Object.assign(copy, { remote: true });
}
