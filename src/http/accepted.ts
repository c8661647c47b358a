import { z } from "@hono/zod-openapi";
import type { OperationView } from "../tenant/views.ts";
import { json } from "./context.ts";
import type { Endpoints } from "./endpoints.ts";
import { pending, pendingView } from "./operation-views.ts";

/** The 202 of everything that can be waited for. */
export const stillRunning = {
  ...json(pendingView, "Still running; `Location` is the operation."),
  headers: z.object({ location: z.string() }),
};

export const accepted = (view: OperationView, endpoints: Endpoints) =>
  [pending(view, endpoints), 202, { location: `/api/v1/operations/${view.id}`, "retry-after": "1" }] as const;
