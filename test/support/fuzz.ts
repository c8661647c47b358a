import fc from "fast-check";

/** Values for JSON schemas: ones that nearly fit, and ones that were made to hurt. */
export type Schema = { [key: string]: unknown };
type Resolve = (schema: Schema) => Schema;

/** What a schema asks for, as far as its own words go; formats and the relations between fields are left to luck. */
export function fitting(schema: Schema, resolve: Resolve, depth = 0): fc.Arbitrary<unknown> {
  const { $ref, ...own } = schema;
  if ($ref !== undefined) return fitting({ ...resolve(schema), ...own }, resolve, depth);
  const either = (schema.anyOf ?? schema.oneOf) as Schema[] | undefined;
  if (either) return fc.oneof(...either.map((one) => fitting(one, resolve, depth)));
  if (schema.allOf) return fitting(Object.assign({}, ...(schema.allOf as Schema[]).map(resolve)), resolve, depth);
  if ("const" in schema) return fc.constant(schema.const);
  if (Array.isArray(schema.enum)) return fc.constantFrom(...schema.enum);
  const types = [schema.type ?? "object"].flat() as string[];
  return fc.oneof(...types.map((type) => fittingType(type, schema, resolve, depth)));
}

function fittingType(type: string, schema: Schema, resolve: Resolve, depth: number): fc.Arbitrary<unknown> {
  const number = (name: string, fallback: number) => (typeof schema[name] === "number" ? schema[name] : fallback);
  switch (type) {
    case "null":
      return fc.constant(null);
    case "boolean":
      return fc.boolean();
    case "integer":
    case "number": {
      const min = number("minimum", 0);
      return fc.integer({ min, max: Math.max(min, Math.min(number("maximum", 1_000), 2_000_000_000)) });
    }
    case "array":
      return fc.array(depth > 4 ? fc.constant(null) : fitting((schema.items ?? {}) as Schema, resolve, depth + 1), {
        minLength: Math.min(number("minItems", 0), 4),
        maxLength: 4,
      });
    case "object":
      return fittingObject(schema, resolve, depth);
    default:
      return fittingText(schema, number("minLength", 0), number("maxLength", 40));
  }
}

function fittingText(schema: Schema, minLength: number, maxLength: number): fc.Arbitrary<unknown> {
  const plain = fc.string({ minLength, maxLength: Math.max(minLength, Math.min(maxLength, 60)) });
  if (typeof schema.pattern !== "string") return plain;
  try {
    return fc.stringMatching(new RegExp(schema.pattern), { maxLength: 60 });
  } catch {
    return plain; // words of regular expressions that fast-check does not make
  }
}

function fittingObject(schema: Schema, resolve: Resolve, depth: number): fc.Arbitrary<unknown> {
  const required = (schema.required ?? []) as string[];
  const others = schema.additionalProperties;
  if (!schema.properties && typeof others === "object") {
    return fc.dictionary(fc.string({ maxLength: 20 }), fitting(others as Schema, resolve, depth + 1), { maxKeys: 4 });
  }
  const members = Object.entries((schema.properties ?? {}) as Record<string, Schema>)
    .filter(([name]) => depth < 5 || required.includes(name))
    .map(([name, member]) => [name, fitting(member, resolve, depth + 1)] as const);
  return fc.record(Object.fromEntries(members), {
    requiredKeys: required.filter((name) => members.some(([known]) => known === name)),
  } as never);
}

const nested = (depth: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = level % 2 ? [value] : { a: value };
  return value;
};

/** What no schema means: wrong types, edges of numbers, text that breaks what is behind JSON. */
export const HOSTILE: readonly unknown[] = [
  null,
  true,
  "",
  " ",
  "\u0000",
  "a\u0000b",
  "\ud800",
  "\udc00x",
  "../../etc/passwd",
  "'; DROP TABLE workloads; --",
  `$${"{tenantId}$"}{`,
  `$${"{__proto__}"}`,
  "constructor",
  "x".repeat(70_000),
  "\u202e\ufeff",
  -1,
  -0,
  0.5,
  2 ** 53,
  -(2 ** 63),
  1e308,
  [],
  [[]],
  {},
  { $ref: "#/components/schemas/Workload" },
  { length: 1e9 },
  { toString: 1, valueOf: 2 },
  Array.from({ length: 500 }, () => 0),
  nested(40),
  nested(200),
];
export const KEYS = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "",
  "\u0000",
  "a/b~c",
  "\ud800",
  "then",
];

/** A value with a few places changed for the worse. */
export const spoilt = (value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc
    .tuple(
      value,
      fc.array(fc.tuple(fc.nat(), fc.nat(), fc.constantFrom("replace", "add", "remove", "wrap")), { maxLength: 3 }),
    )
    .map(([whole, changes]) => changes.reduce((now, [where, what, how]) => change(now, where, what, how), whole));

function change(value: unknown, where: number, what: number, how: string): unknown {
  const copy = structuredClone(value);
  const places = [...objectsIn(copy)];
  const place = places[where % Math.max(1, places.length)];
  const hostile = HOSTILE[what % HOSTILE.length];
  if (!place) return hostile;
  const keys = Object.keys(place);
  const key = keys[what % Math.max(1, keys.length)];
  if (how === "add" || key === undefined) define(place, KEYS[what % KEYS.length] ?? "", hostile);
  else if (how === "remove") delete place[key];
  else define(place, key, how === "wrap" ? [place[key]] : hostile);
  return copy;
}

/** As an own property also where the name is a prototype's. */
const define = (object: object, key: string, value: unknown): void => {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
};

function* objectsIn(value: unknown): Generator<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return;
  yield value as Record<string, unknown>;
  for (const child of Object.values(value)) yield* objectsIn(child);
}

/** Ids as they stand in a URL: tricks with paths, encodings, lengths, names that mean something to JavaScript. */
export const IDS = [
  "%2e%2e",
  "%2e%2e%2f%2e%2e%2fhealth",
  "..%2f",
  "%00",
  "a%00b",
  "%",
  "%zz",
  "%ff",
  "%ed%a0%80",
  "a%2fb",
  "a%5cb",
  "%25",
  "%20",
  "+",
  "constructor",
  "__proto__",
  "toString",
  "null",
  "undefined",
  "-1",
  "0",
  "%F0%9F%98%80",
  "a;b",
  "a:b",
  "*",
  "'%20OR%201=1--",
  `c-${"a".repeat(20)}`,
  "op-1",
  "x".repeat(129),
  "x".repeat(8_000),
];

export const QUERY_VALUES = [
  "",
  "%00",
  "%zz",
  "%ff",
  "-1",
  "0",
  "1e9",
  "NaN",
  "99999999999999999999",
  "null",
  "[]",
  "a&limit=b",
  "'%20OR%201=1--",
  "AAAA",
  "!!",
  "%F0%9F%98%80",
  "__proto__",
  "2026-13-45T99:99:99Z",
  "x".repeat(5_000),
];
