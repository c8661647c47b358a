import type { Answer } from "./answer.ts";

/** A call about one thing. Its body is JSON, and `{id}` stands for the thing. */
export interface Call<Standing> {
  /** As OpenAPI names it: `POST /api/v1/tenants/{id}/claim`. */
  operation: string;
  /** What makes it another call than the plain one of its operation. */
  with?: string;
  /** For the other parameters of the path. */
  path?: Readonly<Record<string, string>>;
  query?: string;
  body?: unknown;
  decide: (standing: Standing) => Answer;
}

/** What every call about a kind of things is answered in every state of theirs, by the code that decides it. */
export interface Table<Name extends string = string, C extends Call<never> = Call<never>> {
  /** The path of every operation that is about one of them. */
  about: string;
  columns: readonly Name[];
  rows: readonly Row<Name, C>[];
}

export interface Row<Name extends string, C> {
  call: C;
  cells: readonly { standing: Name; answer: Answer }[];
}

/** Pure. */
export function tableOf<Name extends string, Standing, C extends Call<Standing>>(
  about: string,
  standings: readonly { name: Name; standing: Standing }[],
  calls: readonly C[],
): Table<Name, C> {
  const cellsOf = (call: C) =>
    standings.map(({ name, standing }) => ({ standing: name, answer: call.decide(standing) }));
  return {
    about,
    columns: standings.map(({ name }) => name),
    rows: calls.map((call) => ({ call, cells: cellsOf(call) })),
  };
}

interface Described {
  paths?: Record<string, object>;
}

/** Operations about one thing that have no row, and answers that the OpenAPI document does not list for theirs. Pure. */
export function gapsOf(document: Described, { about, rows }: Table): string[] {
  const described = new Map<string, Set<string>>();
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const [method, operation] of Object.entries(item)) {
      const { responses = {} } = operation as { responses?: object };
      described.set(`${method.toUpperCase()} ${path}`, new Set(Object.keys(responses)));
    }
  }
  const called = new Set(rows.map(({ call }) => call.operation));
  const isAbout = (operation: string) => `${operation}/`.includes(` ${about}/`);
  const missing = [...described.keys()].filter((operation) => isAbout(operation) && !called.has(operation));
  const undescribed = rows.flatMap(({ call, cells }) =>
    cells
      .filter(({ answer }) => !described.get(call.operation)?.has(String(answer.status)))
      .map(
        ({ standing, answer }) =>
          `${call.operation} answers ${answer.status} (${standing}), which its route does not list`,
      ),
  );
  return [...missing.map((operation) => `${operation} has no row in scripts/states`), ...undescribed];
}

export const nameOf = ({ operation, with: said }: Pick<Call<never>, "operation" | "with">): string =>
  said === undefined ? operation : `${operation} (${said})`;

export const written = ({ status, code }: Answer): string =>
  code === undefined ? String(status) : `${status} ${code}`;
