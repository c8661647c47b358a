import { dereference, type Schema, Validator } from "@cfworker/json-schema";
import type { FieldError } from "../errors/problem.ts";
import { limitErrors } from "./schema-limits.ts";

/** JSON Schemas (draft 2020-12) that workloads declare for their tenants' config. */

/** What a schema may say: the keywords that are checked, and references within the schema only. */
const META: Schema = {
  type: ["object", "boolean"],
  properties: {
    $ref: { type: "string", pattern: "^#" },
    $id: { type: "string" },
    id: false,
    type: { anyOf: [{ $ref: "#/$defs/type" }, { type: "array", items: { $ref: "#/$defs/type" }, minItems: 1 }] },
    properties: { $ref: "#/$defs/schemas" },
    patternProperties: { allOf: [{ $ref: "#/$defs/schemas" }, { propertyNames: { format: "regex" } }] },
    $defs: { $ref: "#/$defs/schemas" },
    definitions: { $ref: "#/$defs/schemas" },
    dependentSchemas: { $ref: "#/$defs/schemas" },
    dependentRequired: { type: "object", additionalProperties: { $ref: "#/$defs/names" } },
    additionalProperties: { $ref: "#" },
    unevaluatedProperties: { $ref: "#" },
    propertyNames: { $ref: "#" },
    items: { $ref: "#" },
    unevaluatedItems: { $ref: "#" },
    contains: { $ref: "#" },
    not: { $ref: "#" },
    if: { $ref: "#" },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { $ref: "#" },
    else: { $ref: "#" },
    prefixItems: { $ref: "#/$defs/list" },
    allOf: { $ref: "#/$defs/list" },
    anyOf: { $ref: "#/$defs/list" },
    oneOf: { $ref: "#/$defs/list" },
    required: { $ref: "#/$defs/names" },
    enum: { type: "array", minItems: 1 },
    pattern: { type: "string", format: "regex" },
    format: { type: "string" },
    minimum: { type: "number" },
    maximum: { type: "number" },
    exclusiveMinimum: { type: "number" },
    exclusiveMaximum: { type: "number" },
    multipleOf: { type: "number", exclusiveMinimum: 0 },
    minLength: { $ref: "#/$defs/count" },
    maxLength: { $ref: "#/$defs/count" },
    minItems: { $ref: "#/$defs/count" },
    maxItems: { $ref: "#/$defs/count" },
    minProperties: { $ref: "#/$defs/count" },
    maxProperties: { $ref: "#/$defs/count" },
    uniqueItems: { type: "boolean" },
  },
  $defs: {
    type: { enum: ["null", "boolean", "object", "array", "number", "string", "integer"] },
    schemas: { type: "object", additionalProperties: { $ref: "#" } },
    list: { type: "array", minItems: 1, items: { $ref: "#" } },
    names: { type: "array", items: { type: "string" }, uniqueItems: true },
    count: { type: "integer", minimum: 0 },
  },
};
const meta = new Validator(META, "2020-12", false);
const validators = new WeakMap<object, Validator>();

/** What is wrong with a schema, with pointers from `at`; empty for one that can be used. */
export function schemaErrors(schema: Record<string, unknown>, at: string): FieldError[] {
  const tooMuch = limitErrors(schema, at);
  if (tooMuch.length > 0) return tooMuch;
  const errors = evaluate(meta, schema, at);
  if (errors.length > 0) return errors;
  try {
    const parts = dereference(structuredClone(schema) as Schema);
    const dangling = Object.values(parts).some((part) => typeof part === "object" && isDangling(part, parts));
    if (dangling) return [{ pointer: at, detail: "has a $ref that leads nowhere" }];
  } catch (error) {
    return [{ pointer: at, detail: `cannot be used: ${error instanceof Error ? error.message : String(error)}` }];
  }
  return evaluate(validatorOf(schema), {}, at).filter((error) => error.detail === ENDLESS);
}

const isDangling = (part: Schema, parts: Record<string, Schema | boolean>): boolean =>
  part.__absolute_ref__ !== undefined && !(part.__absolute_ref__ in parts);

/** What is wrong with a config, with pointers from `at`. */
export const configErrors = (schema: Record<string, unknown>, config: unknown, at: string): FieldError[] =>
  evaluate(validatorOf(schema), config, at);

const ENDLESS = "cannot be decided: the schema refers to itself without end";

function validatorOf(schema: Record<string, unknown>): Validator {
  const known = validators.get(schema);
  if (known) return known;
  const validator = new Validator(structuredClone(schema) as Schema, "2020-12", false); // it writes into what it is given
  validators.set(schema, validator);
  return validator;
}

function evaluate(validator: Validator, value: unknown, at: string): FieldError[] {
  try {
    const { errors } = validator.validate(value);
    const located = errors.map((error) => ({ pointer: at + locationOf(error), detail: error.error }));
    // A parent only repeats that a child is wrong.
    const leaves = located.filter(({ pointer }) => !located.some((other) => other.pointer.startsWith(`${pointer}/`)));
    const byPointer = new Map(leaves.map((error) => [error.pointer, error] as const));
    return [...byPointer.values()];
  } catch (error) {
    if (error instanceof RangeError) return [{ pointer: at, detail: ENDLESS }];
    throw error;
  }
}

/** A missing property is reported where it should be, not at the object that lacks it. */
function locationOf({
  instanceLocation,
  keyword,
  error,
}: {
  instanceLocation: string;
  keyword: string;
  error: string;
}): string {
  const parent = decodeURI(instanceLocation.slice(1));
  const missing = keyword === "required" ? /required property "(.*)"\.$/.exec(error)?.[1] : undefined;
  return missing === undefined ? parent : `${parent}/${missing.replaceAll("~", "~0").replaceAll("/", "~1")}`;
}
