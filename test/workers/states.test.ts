import { afterAll, beforeAll, expect, test } from "vitest";
import { SPEC, STANDINGS } from "../../scripts/states/standings.ts";
import { nameOf, written } from "../../scripts/states/table.ts";
import { tenants } from "../../scripts/states/tenants.ts";
import { request, simulation, status } from "../support/fleet.ts";
import { aName, FILES, SOURCE, standing, theirPool } from "../support/standings.ts";
import { aTar } from "./vault-kit.ts";

/** docs/states.md, cell by cell, asked of real tenants over the API: whatever is asked in whatever state has the answer that the table says. */

const { rows } = tenants;
type Row = (typeof rows)[number];

beforeAll(theirPool);
afterAll(() => simulation.reset());

const tar = () => aTar(FILES.map((path) => ({ path, content: path })));

function jsonOf({ operation, copy, body }: Row["call"], tenant: string): unknown {
  if (operation.includes("/sync-specs/")) return { tenantId: tenant };
  return copy ? (copy === "to it" ? { to: tenant, force: true } : { to: aName() }) : body;
}

async function ask({ call: asked }: Row, tenant: string): Promise<string> {
  const [method = "", path = ""] = asked.operation.split(" ");
  const ofSpec = path.startsWith("/api/v1/sync-specs");
  const about = asked.copy === "to it" ? SOURCE : tenant;
  const params: Record<string, string> = { id: ofSpec ? SPEC.id : about, ...asked.path };
  const url = path.replace(/\{(\w+)\}/g, (_, name) => params[name] ?? "") + (asked.query ? `?${asked.query}` : "");
  const json = jsonOf(asked, tenant);
  const body = asked.tar ? tar() : json === undefined ? undefined : JSON.stringify(json);
  const type = asked.tar ? "application/x-tar" : "application/json";
  const response = await request(method, url, body, { "content-type": type });
  const text = new TextDecoder().decode(await response.arrayBuffer());
  const isProblem = response.headers.get("content-type")?.includes("problem") === true;
  const { code } = isProblem ? (JSON.parse(text) as { code: string }) : { code: undefined };
  return written({ status: response.status, ...(code === undefined ? {} : { code: code as never }) });
}

const standsAt = async (tenant: string) => {
  const { state, epoch, operation } = (await status(tenant)).body as {
    state: string;
    epoch: number;
    operation?: { id: string };
  };
  return `${state} ${epoch} ${operation?.id}`;
};

test.each(STANDINGS.map(({ name }) => name))(
  "a tenant that is %s answers every call as the table says",
  async (name) => {
    const wrong: string[] = [];
    let tenant = await standing(name);
    let stands = await standsAt(tenant);
    for (const row of rows) {
      if ((await standsAt(tenant)) !== stands) {
        tenant = await standing(name);
        stands = await standsAt(tenant);
      }
      const wanted = row.cells.find((cell) => cell.standing === name);
      const was = await ask(row, tenant);
      if (!wanted || was !== written(wanted.answer))
        wrong.push(`${nameOf(row.call)}: ${was}, not ${wanted && written(wanted.answer)}`);
    }
    expect(wrong).toEqual([]);
  },
  60_000,
);
