export const previewMediaTypes = ["image/jpeg", "image/png"] as const;
type PreviewMediaType = (typeof previewMediaTypes)[number];

/** The latest picture of a running job, as its server draws it. */
export interface PreviewPicture {
  jobId: string;
  attempt: number;
  mediaType: PreviewMediaType;
  bytes: Uint8Array;
}

/** A running job has a new picture. */
export interface PreviewNote {
  jobId: string;
  batchId: string | null;
  tenantId: string;
  attempt: number;
}

/** What an API process wants of previews, for a few seconds from now. */
export interface PreviewWish {
  /** The name of the process; unguessable, and new at each of its starts. */
  from: string;
  /** The jobs whose pictures it wants. */
  pictures: string[];
  /** The jobs, batches and tenants of which it wants to know when there are new pictures. */
  notes: string[];
}

/** The API's side: asks for previews. Best effort: what is lost is asked for again. */
export interface PreviewTaker {
  wish(wish: Omit<PreviewWish, "from">): void;
  onPicture(listener: (picture: PreviewPicture) => void): void;
  onNote(listener: (note: PreviewNote) => void): void;
  close(): Promise<void>;
}

/** The worker's side: sends previews to the processes that want them, and to no others. */
export interface PreviewGiver {
  onWish(listener: (wish: PreviewWish) => void): void;
  sendPicture(to: string, picture: PreviewPicture): void;
  sendNote(to: string, note: PreviewNote): void;
  close(): Promise<void>;
}
