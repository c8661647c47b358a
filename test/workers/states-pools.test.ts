import { afterAll, describe, expect, test } from "vitest";
import { containers } from "../../scripts/states/containers.ts";
import { pools } from "../../scripts/states/pools.ts";
import { nameOf, type Table, written } from "../../scripts/states/table.ts";
import { call, simulation } from "../support/fleet.ts";
import { standingOf, stateOf } from "../support/pool-standings.ts";

/** The tables of pools and containers of docs/states.md, cell by cell, asked of real ones over the API. */

afterAll(() => simulation.reset());

const tables = { pool: pools, container: containers } as unknown as Record<"pool" | "container", Table>;

describe.each(Object.entries(tables) as ["pool" | "container", Table][])("a %s", (kind, { columns, rows }) => {
  test.each(columns)(
    "that is %s answers every call as the table says",
    async (name) => {
      const wrong: string[] = [];
      let id = await standingOf(kind, name);
      let stands = await stateOf(kind, id);
      for (const { call: asked, cells } of rows) {
        if ((await stateOf(kind, id)) !== stands) {
          id = await standingOf(kind, name);
          stands = await stateOf(kind, id);
        }
        const [method = "", path = ""] = asked.operation.split(" ");
        const url = path.replace("{id}", id) + (asked.query ? `?${asked.query}` : "");
        const { status, body } = await call<{ code?: string }>(method, url, asked.body);
        const was = written({ status, ...(status >= 400 ? { code: body.code as never } : {}) });
        const wanted = cells.find((cell) => cell.standing === name)?.answer;
        if (!wanted || was !== written(wanted))
          wrong.push(`${nameOf(asked)}: ${was}, not ${wanted && written(wanted)}`);
      }
      expect(wrong).toEqual([]);
    },
    30_000,
  );
});
