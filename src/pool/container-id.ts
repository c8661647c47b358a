import { type ContainerId, containerId } from "../ids.ts";

/** An id that no container had and none will have again. */
export const newContainerId = (): ContainerId => containerId(crypto.getRandomValues(new Uint8Array(20)));
