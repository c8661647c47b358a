import { z } from "@hono/zod-openapi";
import { invalid } from "../errors/problem.ts";
import { forgetWorkload } from "../registry/cache.ts";
import { findWorkload } from "../registry/store.ts";
import { findVersion, listVersions } from "../registry/workload-versions.ts";
import { replaceWorkload } from "../registry/workloads.ts";
import { IMAGES } from "../runtime/images.ts";
import { jsonBody } from "./body.ts";
import { json, refusals, resource } from "./context.ts";
import { etagOf, ifMatchOf } from "./etag.ts";
import { by, guarded } from "./guarded.ts";
import { encodeCursor, pageQuery } from "./paging.ts";
import { slugParam } from "./params.ts";
import { changedSince, known, nothing } from "./registered.ts";
import { tellPools } from "./tell-pools.ts";
import { versionOf, versionView, viewOf, workloadView } from "./workload-views.ts";

const versions = guarded("registry:read", {
  method: "get",
  path: "/api/v1/workloads/{id}/versions",
  summary: "Every version of a workload, the newest first",
  tags: ["registry"],
  request: { params: slugParam, query: pageQuery },
  responses: {
    200: json(z.object({ items: z.array(versionView), nextCursor: z.string().nullable() }), "The newest first"),
    ...refusals,
  },
});

const rollback = guarded("registry:write", {
  method: "post",
  path: "/api/v1/workloads/{id}/rollback",
  operationId: "rollbackWorkload",
  summary: "Make an earlier version of a workload the latest, as a new version; its pools follow",
  tags: ["registry"],
  middleware: [known("workload", findWorkload), jsonBody("required")],
  request: {
    params: slugParam,
    body: {
      required: true,
      content: { "application/json": { schema: z.strictObject({ version: z.int().min(1) }) } },
    },
  },
  responses: {
    200: {
      ...json(workloadView, "As it is now; what the present version says anyway is no new one"),
      headers: z.object({ etag: z.string() }),
    },
    ...refusals,
  },
});

export const workloadVersions = resource()
  .openapi(versions, async (c) => {
    const { id } = c.req.valid("param");
    const { limit, cursor } = c.req.valid("query");
    const before = cursor === undefined ? null : Number.parseInt(cursor, 10);
    if (Number.isNaN(before)) throw invalid([{ pointer: "/query/cursor", detail: "is not a cursor of this list" }]);
    const page = await listVersions(c.env.DB, id, before, limit);
    if (page.items.length === 0 && !(await findWorkload(c.env.DB, id))) throw nothing("workload", id);
    const nextCursor = encodeCursor(page.next === null ? null : String(page.next));
    return c.json({ items: page.items.map(versionOf), nextCursor }, 200);
  })
  .openapi(rollback, async (c) => {
    const { id } = c.req.valid("param");
    const { version } = c.req.valid("json");
    const spec = await findVersion(c.env.DB, id, version);
    if (!spec) throw nothing(`version ${version} of the workload`, id);
    // What could be started once may name an image that is not deployed any more.
    if (!IMAGES.some((image) => image === spec.image)) {
      throw invalid([{ pointer: "/version", detail: `names the image ${spec.image}, which wrangler.jsonc does not` }]);
    }
    const changed = await replaceWorkload(c.env.DB, spec, ifMatchOf(c), by(c), Date.now(), version);
    if (changed.kind === "absent") throw nothing("workload", id);
    if (changed.kind === "mismatch") throw changedSince("workload", id, changed.version);
    forgetWorkload(id);
    await tellPools(c.env, changed.workload, by(c));
    return c.json(viewOf(changed.workload), 200, { etag: etagOf(changed.workload.version) });
  });
