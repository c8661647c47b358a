import type { NewUpload, OpenUpload, UploadPart } from "./storage.ts";

/** The SQL of R2 keys that are reserved and not yet staged: single puts under way, and multipart uploads with their parts. */
export class Uploads {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Inside a commit. */
  reserve(object: string, save: number, at: number): void {
    this.#sql.exec("INSERT INTO uploads (object, save, at) VALUES (?, ?, ?)", object, save, at);
  }

  /** Whether this key was reserved by this save. */
  reserved(object: string, save: number): boolean {
    return this.#sql.exec("SELECT 1 FROM uploads WHERE object = ? AND save = ?", object, save).toArray().length > 0;
  }

  /** Inside a commit. */
  begin(upload: NewUpload): void {
    this.#sql.exec(
      "UPDATE uploads SET key = ?, r2_upload_id = ?, metadata = ? WHERE object = ?",
      upload.key,
      upload.r2UploadId,
      JSON.stringify(upload.metadata),
      upload.object,
    );
  }

  /** A multipart upload of this save; null for any other. */
  find(object: string, save: number): NewUpload | null {
    const [row] = this.#sql
      .exec<{ key: string; r2UploadId: string; metadata: string }>(
        "SELECT key, r2_upload_id AS r2UploadId, metadata FROM uploads WHERE object = ? AND save = ? AND r2_upload_id IS NOT NULL",
        object,
        save,
      )
      .toArray();
    return row === undefined ? null : { object, ...row, metadata: JSON.parse(row.metadata) };
  }

  /** The multipart uploads of a save, in order of their keys, then of their beginning. */
  ofSave(save: number): OpenUpload[] {
    return this.#sql
      .exec(
        "SELECT object, key, at FROM uploads WHERE save = ? AND r2_upload_id IS NOT NULL ORDER BY key, at, object",
        save,
      )
      .toArray() as unknown as OpenUpload[];
  }

  /** In order of their numbers. */
  parts(object: string): UploadPart[] {
    return this.#sql
      .exec("SELECT number, size, sha256, md5, r2_etag AS r2Etag FROM parts WHERE object = ? ORDER BY number", object)
      .toArray() as unknown as UploadPart[];
  }

  /** Inside a commit. */
  putPart(object: string, part: UploadPart): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO parts (object, number, size, sha256, md5, r2_etag) VALUES (?, ?, ?, ?, ?, ?)",
      object,
      part.number,
      part.size,
      part.sha256,
      part.md5,
      part.r2Etag,
    );
  }

  /** The key is staged, or to be collected: it is no upload any more. Inside a commit. */
  forget(object: string): void {
    this.#sql.exec("DELETE FROM parts WHERE object = ?", object);
    this.#sql.exec("DELETE FROM uploads WHERE object = ?", object);
  }

  /** All multipart uploads. */
  multiparts(): { object: string; r2UploadId: string }[] {
    return this.#sql
      .exec<{ object: string; r2UploadId: string }>(
        "SELECT object, r2_upload_id AS r2UploadId FROM uploads WHERE r2_upload_id IS NOT NULL",
      )
      .toArray();
  }

  /** Reserved before `before` and never staged. */
  orphans(before: number, limit: number): { object: string; r2UploadId: string | null }[] {
    return this.#sql
      .exec<{ object: string; r2UploadId: string | null }>(
        "SELECT object, r2_upload_id AS r2UploadId FROM uploads WHERE at < ? LIMIT ?",
        before,
        limit,
      )
      .toArray();
  }

  /** When the oldest was reserved, in ms since 1970; null when there is none. */
  oldest(): number | null {
    return this.#sql.exec<{ at: number | null }>("SELECT min(at) AS at FROM uploads").one().at;
  }
}
