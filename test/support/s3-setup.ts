import type { TestProject } from "vitest/node";
import { startS3 } from "./s3-server.ts";

/** One S3 server for the run; tests find it as `inject("s3Endpoint")`. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startS3();
  project.provide("s3Endpoint", server.endpoint);
  return () => server.stop();
}

declare module "vitest" {
  export interface ProvidedContext {
    s3Endpoint: string;
  }
}
