#!/usr/bin/env python3
"""Reads a Savefile bundle (docs/bundle.md), with nothing but Python's standard library: an independent second implementation.

    python3 savefile_bundle.py [--json] FILE        ("-": stdin; .gz is unpacked)

Verifies every hash, link, count and name in one pass, and prints the timeline of the bundle's session. Exit code 1, with the line and the
reason on stderr, where something does not hold.
"""
import base64
import gzip
import hashlib
import io
import json
import struct
import sys
from datetime import datetime, timezone

VERSION = 2
CHUNK = 524288


class Refused(Exception):
    pass


def need(holds, why):
    if not holds:
        raise Refused(why)


def framed(raw):
    return struct.pack(">I", len(raw)) + raw


def event_hash(session, event, payload):
    fields = [b"savefile/1", bytes.fromhex(event["prev"])]
    fields += [str(event[n]).encode() if n != "session" else session.encode() for n in ("session", "seq", "type", "v", "at", "actor", "key")]
    fields += [event.get("kid", "").encode(), hashlib.sha256(payload).digest()]
    return hashlib.sha256(b"".join(map(framed, fields))).hexdigest()


def sha256_name(raw):
    return "sha256:" + hashlib.sha256(raw).hexdigest()


class Reader:
    def __init__(self, on_event):
        self.show = on_event
        self.digest = hashlib.sha256()
        self.header = None
        self.definitions = []
        self.sessions = {}
        self.part = None
        self.edges = {}
        self.blob = None
        self.blobs = []
        self.events = 0
        self.ended = False

    def take(self, number, raw):
        need(not self.ended, "there is more after the end")
        line = json.loads(raw)
        need(isinstance(line, dict), "it is no object")
        kind = line.get("k")
        if self.header is None:
            need(kind == "savefile-bundle", "it is no bundle")
            need(line["version"] <= VERSION, "it is of a newer version")
            self.header = line
        elif kind == "end":
            self.end(number, line)
            return
        else:
            need(kind in ("definition", "session", "key", "event", "blob", "chunk"), "no such line here: %r" % (kind,))
            getattr(self, "on_" + kind)(line)
        self.digest.update(raw)

    def on_definition(self, line):
        need(not self.sessions, "definitions stand before sessions")
        need(not self.definitions or self.definitions[-1] < line["hash"], "definitions stand in order, each once")
        need(sha256_name(line["body"].encode()) == line["hash"], "the definition is not what its hash says")
        self.definitions.append(line["hash"])

    def on_session(self, line):
        self.part_ends()
        need(self.blob is None and not self.blobs, "sessions stand before blobs")
        need(line["session"] not in self.sessions, "the session is there twice")
        base = line["base"]
        if base is None:
            seq, prev, at = 0, "", 0
        else:
            edge = self.edges.get((base["session"], base["seq"]))
            need(edge is not None, "what it goes on from does not stand before it")
            seq, (prev, at) = base["seq"], edge
        need(line["from"] == seq + 1 <= line["to"], "it does not begin behind its base")
        self.sessions[line["session"]] = line
        self.part = {"line": line, "seq": seq, "prev": prev, "at": at, "marks": set(line["marks"]) | {line["to"]}}

    def on_key(self, line):
        part = self.part
        need(self.header["version"] >= 2, "a bundle of version 1 holds no keys")
        need(part is not None and part["seq"] < part["line"]["from"] and "kid" not in part, "a key stands right behind its session")
        base64.b64decode(line["wrapped"], validate=True)
        part["kid"] = line["kid"]

    def part_ends(self):
        part = self.part
        need(part is None or part["seq"] == part["line"]["to"], "an event of the session before is missing")

    def on_event(self, line):
        part = self.part
        need(part is not None and part["seq"] < part["line"]["to"], "an event that no session announced")
        name = part["line"]["session"]
        payload = line["payload"].encode() if "payload" in line else base64.b64decode(line["bytes"], validate=True)
        where = "event %d of session %s: " % (part["seq"] + 1, name)
        need(line["seq"] == part["seq"] + 1, where + "another seq stands in its place")
        need(line["prev"] == part["prev"], where + "it is not chained to the event before it")
        need(part.get("kid", line.get("kid")) == line.get("kid") or line["seq"] > part["line"]["from"], where + "it is not under the key that came")
        need(line["at"] >= part["at"], where + "it is older than the event before it")
        need(event_hash(name, line, payload) == line["hash"], where + "its content does not give its hash")
        part.update(seq=line["seq"], prev=line["hash"], at=line["at"])
        if line["seq"] in part["marks"]:
            self.edges[(name, line["seq"])] = (line["hash"], line["at"])
        need(line["seq"] < part["line"]["to"] or line["hash"] == part["line"]["hash"], where + "not the hash that was announced")
        self.events += 1
        self.show(name, line, payload)

    def on_blob(self, line):
        self.part_ends()
        need(self.blob is None, "a chunk of the blob before is missing")
        need(not self.blobs or self.blobs[-1] < line["hash"], "blobs stand in order, each once")
        need(line["chunks"] == -(-line["size"] // CHUNK), "so many bytes do not stand in so many chunks")
        need(line["sessions"] and all(s in self.sessions for s in line["sessions"]), "a session that is not in the bundle")
        self.blob = {"line": line, "digest": hashlib.sha256(), "size": 0, "chunks": 0}
        self.blob_ends()

    def on_chunk(self, line):
        blob = self.blob
        need(blob is not None, "a chunk that no blob announced")
        raw = base64.b64decode(line["data"], validate=True)
        need(len(raw) == min(CHUNK, blob["line"]["size"] - blob["size"]), "the chunk is too long or too short")
        blob["digest"].update(raw)
        blob["size"] += len(raw)
        blob["chunks"] += 1
        self.blob_ends()

    def blob_ends(self):
        blob = self.blob
        if blob["chunks"] < blob["line"]["chunks"]:
            return
        need("sha256:" + blob["digest"].hexdigest() == blob["line"]["hash"], "the blob is not what its hash says")
        self.blobs.append(blob["line"]["hash"])
        self.blob = None

    def end(self, number, line):
        self.part_ends()
        need(self.blob is None, "a chunk is missing")
        main = self.sessions.get(self.header["session"])
        need(main is not None and main["whole"], "the session that the first line announced is not there")
        need((main["to"], main["hash"]) == (self.header["head"], self.header["hash"]), "its head is not the announced one")
        counted = [
            {"session": s["session"], "from": s["from"], "to": s["to"], "events": s["to"] - s["from"] + 1, "hash": s["hash"]}
            for s in self.sessions.values()
        ]
        need((line["lines"], line["events"], line["blobs"]) == (number, self.events, len(self.blobs)), "the counts do not hold")
        need(line["sessions"] == counted, "the sessions are not those of the last line")
        need(line["sha256"] == self.digest.hexdigest(), "something outside of the events was changed")
        self.ended = True


def timeline(session, event, payload):
    """One line for people: what a program without any knowledge of the payloads can say, and the text where there is one."""
    at = datetime.fromtimestamp(event["at"] / 1e6, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    text = "(encrypted)" if "kid" in event else ""
    if not text:
        try:
            blocks = json.loads(payload).get("blocks", [])
            text = " ".join(b.get("text", "") for b in blocks if b.get("type") == "text")
        except (ValueError, AttributeError):
            text = "(no JSON)"
    line = "%s %6d  %-18s %-20s %s" % (at, event["seq"], event["actor"], event["type"], " ".join(text.split())[:80])
    return line.rstrip()


def lines_of(file):
    raw = sys.stdin.buffer if file == "-" else open(file, "rb")
    source = io.BufferedReader(raw) if file == "-" else raw
    if source.peek(2)[:2] == b"\x1f\x8b":
        source = gzip.open(source)
    return source  # a binary file's lines end with \n only


def main(args):
    as_json = "--json" in args
    files = [a for a in args if a != "--json"]
    if len(files) != 1:
        sys.exit(__doc__)

    shown = []

    def show(session, event, payload):
        if as_json:
            fact = {"session": session, "seq": event["seq"], "type": event["type"], "hash": event["hash"], "payload": hashlib.sha256(payload).hexdigest()}
            print(json.dumps(fact))
            return
        if shown[-1:] != [session]:
            shown.append(session)
            print("-- %s" % session)
        print(timeline(session, event, payload))

    reader = Reader(show)
    number = 0
    try:
        for number, raw in enumerate(lines_of(files[0]), 1):
            need(raw.endswith(b"\n"), "it ends in the middle of a line")
            reader.take(number, raw)
        number += 1
        need(reader.ended, "it ends before its last line")
    except (Refused, ValueError, KeyError, TypeError, AttributeError, RecursionError, EOFError, OSError) as error:
        sys.stdout.flush()
        print("refused at line %d: %s" % (number, error), file=sys.stderr)
        return 1
    print("ok: %s, head %d %s" % (reader.header["session"], reader.header["head"], reader.header["hash"]), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
