import { evictDurableObject, runInDurableObject } from "cloudflare:test";

/** The deadline of a tenant's operation is over, and its object left memory. */
export async function overdue(stub: DurableObjectStub): Promise<void> {
  await runInDurableObject(stub, (_, state) => {
    const [row] = state.storage.sql.exec<{ doc: string }>("SELECT doc FROM tenant").toArray();
    const doc = JSON.parse(row?.doc ?? "{}");
    doc.operation.deadlineAt = Date.now() - 1;
    state.storage.sql.exec("UPDATE tenant SET doc = ?", JSON.stringify(doc));
  });
  await evictDurableObject(stub);
}
