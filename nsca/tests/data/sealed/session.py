#!/usr/bin/env python3
"""A sealed session, computed from the description in ARCHITECTURE.md and the Noise specification alone.

Prints session.json. Needs the Python package `cryptography`, version 44 or later. It shares no code with the crate,
so that bytes that agree mean that the description is complete.
"""

import hashlib
import hmac
import json
import struct
import zlib

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

MESSAGES_PER_KEY = 1 << 16


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def hkdf(chaining_key, material, outputs):
    key = hmac.digest(chaining_key, material, "sha256")
    out, last = [], b""
    for n in range(1, outputs + 1):
        last = hmac.digest(key, last + bytes([n]), "sha256")
        out.append(last)
    return out


class Cipher:
    def __init__(self, key):
        self.key, self.nonce = key, 0

    def seal(self, payload, associated=b""):
        nonce = bytes(4) + struct.pack(">Q", self.nonce)
        self.nonce += 1
        return AESGCM(self.key).encrypt(nonce, payload, associated)

    def message(self, payload):
        if self.nonce == MESSAGES_PER_KEY:
            last_nonce = bytes(4) + b"\xff" * 8
            self.key = AESGCM(self.key).encrypt(last_nonce, bytes(32), b"")[:32]
        return behind_length(self.seal(payload))


class Handshake:
    """NNpsk0: -> psk, e; <- e, ee. Both sides in one, since this script knows everything."""

    def __init__(self, prologue, psk):
        name = b"Noise_NNpsk0_25519_AESGCM_SHA256"
        self.h = self.ck = name.ljust(32, b"\0") if len(name) <= 32 else sha256(name)
        self.mix_hash(prologue)
        self.ck, temp_hash, key = hkdf(self.ck, psk, 3)
        self.mix_hash(temp_hash)
        self.cipher = Cipher(key)

    def mix_hash(self, data):
        self.h = sha256(self.h, data)

    def mix_key(self, material):
        self.ck, key = hkdf(self.ck, material, 2)
        self.cipher = Cipher(key)

    def message(self, ephemeral, payload, shared=None):
        public = ephemeral.public_key().public_bytes_raw()
        self.mix_hash(public)
        self.mix_key(public)
        if shared is not None:
            self.mix_key(shared)
        sealed = self.cipher.seal(payload, self.h)
        self.mix_hash(sealed)
        return behind_length(public + sealed)

    def split(self):
        return [Cipher(key) for key in hkdf(self.ck, b"", 2)]


def behind_length(data):
    return struct.pack(">H", len(data)) + data


def short(text):
    return struct.pack(">B", len(text)) + text


def frame(kind, content):
    return struct.pack(">IB", len(content), kind) + content


def text(text):
    return struct.pack(">H", len(text)) + text


def packet(timestamp, code, host, service, output):
    texts = text(host) + text(service) + struct.pack(">I", len(output)) + output
    rest = struct.pack(">Ih", timestamp, code) + texts
    version = struct.pack(">h", 4)
    return version + struct.pack(">I", zlib.crc32(version + bytes(4) + rest)) + rest


def main():
    psk = bytes(range(32))
    random = bytes((7 * i + 1) % 256 for i in range(112))
    timestamp, start = 1_800_000_000, 1_800_000_000_000_000
    iv = random + sha256(b"understudy sealed 1", random)[:16]
    init = iv + struct.pack(">I", timestamp)
    upgrade = sha256(b"understudy upgrade 1", iv)

    ephemerals = [X25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (0x11, 0x22)]
    shared = ephemerals[0].exchange(ephemerals[1].public_key())
    handshake = Handshake(init + upgrade, psk)
    hello = struct.pack(">BI16sQQQ", 1, 1, bytes(range(100, 116)), 2, 5, 9) + short(b"master")
    first = handshake.message(ephemerals[0], hello)
    welcome = struct.pack(">BBIQQQ", 1, 1, 1, 7, 4096, 4 << 20) + short(b"standby")
    second = handshake.message(ephemerals[1], welcome, shared)
    client, server = handshake.split()

    heartbeat = frame(2, struct.pack(">qqIBBB", start, 0, 0, 0, 0, 1))
    answer = frame(2, struct.pack(">qqIBBB", start + 250_000, start, 100_000, 1, 0, 2))
    result = struct.pack(">QqBBI", 8, start - 1, 2, 1, 3) + short(b"far")
    result += packet(timestamp, 2, b"web", b"http", "CRITICAL – 503 | time=3s\nlong;output\\".encode())
    ack = frame(3, struct.pack(">QQQ", 8, 4097, (4 << 20) + len(frame(1, result))))
    sent = client.message(answer) + client.message(frame(1, result))
    wanted = text(b"web") + text(b"http") + text(b"web") + text(b"")
    shown = struct.pack(">qBBI", start - 2, 2, 2, 3)
    shown += packet(timestamp, 1, b"web", b"http", "WARNING – slow | time=2s".encode())
    heading = struct.pack(">BqqB", 1, timestamp - 10_000, timestamp - 10, 2)
    told = {
        "shown_and_answered": client.message(frame(8, shown) + frame(9, struct.pack(">I", 1))).hex(),
        "heading_and_record": client.message(frame(5, heading) + frame(6, b"a record")).hex(),
    }
    client.nonce = MESSAGES_PER_KEY  # as if so many messages had been sent
    print(json.dumps({
        "psk": psk.hex(),
        "password": "correct horse",
        "password_psk": Argon2id(
            salt=b"understudy sealed 1", length=32, iterations=2, lanes=1, memory_cost=19 * 1024,
        ).derive(b"correct horse").hex(),
        "init": init.hex(),
        "upgrade_and_hello": (upgrade + first).hex(),
        "welcome": second.hex(),
        "server_heartbeat": server.message(heartbeat).hex(),
        "client_heartbeat_and_result": sent.hex(),
        "ack": server.message(ack).hex(),
        "wants": server.message(frame(7, b"\x01\0\0") + frame(7, struct.pack(">BH", 3, 2) + wanted)).hex(),
        **told,
        "goodbye_under_the_second_key": client.message(frame(4, b"\x01")).hex(),
    }, indent=2))


main()
