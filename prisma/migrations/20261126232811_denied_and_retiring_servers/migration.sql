-- A server, or a proxy in front of it, refuses the credentials; and one that no source names any more.
ALTER TYPE "server_state" ADD VALUE 'denied';
ALTER TYPE "server_state" ADD VALUE 'retiring';
