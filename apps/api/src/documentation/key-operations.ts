import { answerExamples, bodyExamples } from "./examples.ts";
import { json, type Operation } from "./operation.ts";
import { auditQuerySchema } from "../routes/audit-events.ts";

/** Keys, and who changed what. */
export const keyOperations: readonly Operation[] = [
  {
    id: "listKeys",
    tag: "keys",
    method: "GET",
    path: "keys",
    summary: "The keys that were made, newest first",
    description: "Revoked ones too, at most 1,000. Keys of `API_KEYS` are not among them.",
    answers: { 200: { description: "Without what is sent as them.", content: json("Keys") } },
  },
  {
    id: "addKey",
    tag: "keys",
    method: "POST",
    path: "keys",
    summary: "Make a key",
    description:
      "`key` of the answer is what to send; it is shown this once. From the first key that was ever made on, keys are asked " +
      "for on loopback, too.",
    body: json("NewKey", bodyExamples.NewKey),
    answers: {
      201: { description: "It works from now on.", content: json("ToldKey", answerExamples.ToldKey) },
    },
    refusals: ["invalid-request", "missing-field", "out-of-bounds", "key-name-taken"],
  },
  {
    id: "rotateKey",
    tag: "keys",
    method: "POST",
    path: "keys/:id/rotate",
    summary: "Have a key be sent in a new way",
    description:
      "The new `key` works at once, and what was sent before goes on for the overlap. An answer that was lost loses nothing: " +
      "rotate again.",
    body: json("KeyRotation", bodyExamples.KeyRotation),
    isBodyOptional: true,
    answers: { 200: { description: "Both work now.", content: json("ToldKey", answerExamples.ToldKey) } },
    refusals: ["invalid-request", "out-of-bounds", "key-not-found"],
  },
  {
    id: "revokeKey",
    tag: "keys",
    method: "DELETE",
    path: "keys/:id",
    summary: "Revoke a key",
    description:
      "Every process refuses it within 10 s. Event streams that are open with it go on to their end.",
    answers: { 200: { description: "It is revoked.", content: json("Key") } },
    refusals: ["key-not-found"],
  },
  {
    id: "listAuditEvents",
    tag: "keys",
    method: "GET",
    path: "audit-events",
    summary: "What people changed, newest first",
    description: "Changes of jobs that are still there are among the events of each job.",
    query: auditQuerySchema,
    answers: { 200: { description: "A page.", content: json("AuditEvents") } },
    refusals: ["unknown-field", "invalid-field", "out-of-bounds", "invalid-request"],
  },
];
