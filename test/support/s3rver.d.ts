/** What the tests use of s3rver 3.7, which has no types: it is a Koa application. */
declare module "s3rver" {
  import type { IncomingMessage } from "node:http";
  import type { AddressInfo } from "node:net";

  export interface S3Context {
    req: IncomingMessage;
    status: number;
    type: string;
    body: string;
  }

  export default class S3rver {
    readonly middleware: ((context: S3Context, next: () => Promise<void>) => Promise<void>)[];
    constructor(options: {
      address?: string;
      port?: number;
      directory: string;
      silent?: boolean;
      configureBuckets?: { name: string }[];
    });
    run(): Promise<AddressInfo>;
    close(): Promise<void>;
  }
}
