/** Where everything about jobs is. */
export const prefix = "/api/anime";
/** Where Bull Board is. */
export const boardPath = "/admin/queues";
