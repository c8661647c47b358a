import type { Answer } from "./answer.ts";
import { CALLS, type Call } from "./calls.ts";
import { STANDINGS, type StandingName } from "./standings.ts";

/** What every call is answered in every state, by the code that decides it: docs/states.md, and what test/workers/states.test.ts asks. */

export interface Row {
  call: Call;
  cells: { standing: StandingName; answer: Answer }[];
}

export const rows: readonly Row[] = CALLS.map((call) => ({
  call,
  cells: STANDINGS.map(({ name, record }) => ({ standing: name, answer: call.decide(record) })),
}));

interface Described {
  paths?: Record<string, object>;
}

/** Operations about one tenant that have no row, and answers that the OpenAPI document does not list for theirs. Pure. */
export function gapsOf(document: Described): string[] {
  const described = new Map<string, Set<string>>();
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const [method, operation] of Object.entries(item)) {
      const { responses = {} } = operation as { responses?: object };
      described.set(`${method.toUpperCase()} ${path}`, new Set(Object.keys(responses)));
    }
  }
  const called = new Set(CALLS.map(({ operation }) => operation));
  const missing = [...described.keys()].filter((name) => / \/api\/v1\/tenants\/\{id\}/.test(name) && !called.has(name));
  const undescribed = rows.flatMap(({ call, cells }) =>
    cells
      .filter(({ answer }) => !described.get(call.operation)?.has(String(answer.status)))
      .map(
        ({ standing, answer }) =>
          `${call.operation} answers ${answer.status} (${standing}), which its route does not list`,
      ),
  );
  return [...missing.map((name) => `${name} has no row in scripts/states/calls.ts`), ...undescribed];
}

export const nameOf = ({ operation, with: said }: Call): string =>
  said === undefined ? operation : `${operation} (${said})`;

export const written = ({ status, code }: Answer): string =>
  code === undefined ? String(status) : `${status} ${code}`;
