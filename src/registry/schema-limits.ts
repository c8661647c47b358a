import type { FieldError } from "../errors/problem.ts";

/**
 * What keeps a config schema cheap to check against. It runs at every claim and every config write, on what tenants send,
 * in one thread: so its size, its depth, how far its references unfold, and its regular expressions are bounded.
 */
const MAX_BYTES = 65_536;
const MAX_DEPTH = 32;
const MAX_UNFOLDED = 10_000;
const MAX_PATTERN = 512;

/** What is too much about a schema, with pointers from `at`. Pure; walks at most to the depth that is allowed. */
export function limitErrors(schema: Record<string, unknown>, at: string): FieldError[] {
  if (new TextEncoder().encode(JSON.stringify(schema)).length > MAX_BYTES) {
    return [{ pointer: at, detail: `is larger than ${MAX_BYTES} bytes` }];
  }
  const errors = below(schema, at, 1);
  if (errors.length > 0) return errors;
  if (unfolded(schema) <= MAX_UNFOLDED) return [];
  return [{ pointer: at, detail: `comes to more than ${MAX_UNFOLDED} schemas once its references are followed` }];
}

function below(value: unknown, at: string, depth: number): FieldError[] {
  if (typeof value !== "object" || value === null) return [];
  if (depth > MAX_DEPTH) return [{ pointer: at, detail: `is nested deeper than ${MAX_DEPTH} levels` }];
  return Object.entries(value).flatMap(([key, member]) => {
    const pointer = `${at}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    const problem = patternOf(key, member);
    if (problem !== null) return [{ pointer, detail: problem }];
    if (key === "patternProperties" && typeof member === "object" && member !== null) {
      const names = Object.keys(member).map((name) => patternProblem(name));
      const wrong = names.find((it) => it !== null);
      if (wrong) return [{ pointer, detail: wrong }];
    }
    return below(member, pointer, depth + 1);
  });
}

const patternOf = (key: string, value: unknown): string | null =>
  key === "pattern" && typeof value === "string" ? patternProblem(value) : null;

/**
 * Why a regular expression could take for ever on the wrong text; null for one that is taken. A repetition of what
 * itself repeats or chooses is what makes a backtracking engine try everything; references into the match do too.
 */
export function patternProblem(source: string): string | null {
  if (source.length > MAX_PATTERN) return `has a pattern of more than ${MAX_PATTERN} characters`;
  const bare = source
    .replaceAll(/\\[1-9k]/g, "\u0001")
    .replaceAll(/\\./gs, "x")
    .replaceAll(/\[[^\]]*\]/g, "x");
  if (bare.includes("\u0001")) return "has a pattern with a reference into its own match";
  return repeatsRepetition(bare)
    ? "has a pattern that repeats a group which itself repeats or chooses: that can take for ever"
    : null;
}

/** Whether a group that repeats without bound is repeated, or one with a choice is without bound. */
function repeatsRepetition(bare: string): boolean {
  const open: { endless: boolean; choice: boolean }[] = [];
  for (let index = 0; index < bare.length; index += 1) {
    const character = bare[index];
    const [quantifier, bounds] = /^(?:[*+]|\{\d+(,\d*)?\})/.exec(bare.slice(index + 1, index + 24)) ?? [];
    const endless = quantifier !== undefined && (quantifier.length === 1 || bounds === ",");
    const group = character === ")" ? open.pop() : undefined;
    if (group?.endless && quantifier !== undefined) return true;
    if (group?.choice && endless) return true;
    const around = open.at(-1);
    if (character === "(") open.push({ endless: false, choice: false });
    else if (around) {
      around.endless ||= endless || group?.endless === true;
      around.choice ||= character === "|" || group?.choice === true;
    }
  }
  return false;
}

/** How many schemas a checker may visit for one value: references can double what they lead to, level by level. */
function unfolded(root: Record<string, unknown>): number {
  const known = new Map<object, number>();
  const count = (value: unknown): number => {
    if (typeof value !== "object" || value === null) return 0;
    const before = known.get(value);
    if (before !== undefined) return before;
    known.set(value, 1); // one that leads back to itself is followed once
    let total = 1;
    for (const member of Object.values(value)) total = Math.min(total + count(member), MAX_UNFOLDED + 1);
    const { $ref } = value as { $ref?: unknown };
    if (typeof $ref === "string") total = Math.min(total + count(targetOf(root, $ref)), MAX_UNFOLDED + 1);
    known.set(value, total);
    return total;
  };
  return count(root);
}

/** What a reference of the form `#/a/b` leads to; anchors and what is not there count as nothing. */
function targetOf(root: Record<string, unknown>, reference: string): unknown {
  if (!reference.startsWith("#/")) return reference === "#" ? root : null;
  let at: unknown = root;
  for (const part of reference.slice(2).split("/")) {
    const key = decoded(part).replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) return null;
    at = (at as Record<string, unknown>)[key];
  }
  return at;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
