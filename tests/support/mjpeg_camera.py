#!/usr/bin/env python3
"""A camera over http (MJPEG) on a port of its own, whose number it writes to the file named as its argument.

/moving   pictures that differ, without end       /short    thirty of them, then the line is closed
/frozen   twenty of them, then one for ever       /locked   401
"""
import os
import socketserver
import struct
import sys
import time
from http.server import BaseHTTPRequestHandler

SIZE = 64  # pixels; one level for each block of 8 x 8


def segment(marker, body):
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg(levels):
    """A gray baseline JPEG of flat blocks: the difference of levels, then "end of block", each by a table of our own."""
    categories = bytes([0, 0, 0, 12] + [0] * 12) + bytes(range(12))  # twelve codes of four bits
    end_of_block = bytes([1] + [0] * 15) + bytes([0])  # one code: 0
    head = b"\xff\xd8" + segment(0xDB, b"\0" + bytes([1] * 64))
    head += segment(0xC0, struct.pack(">BHHBBBB", 8, SIZE, SIZE, 1, 1, 0x11, 0))
    head += segment(0xC4, b"\x00" + categories) + segment(0xC4, b"\x10" + end_of_block)
    head += segment(0xDA, bytes([1, 1, 0x00, 0, 63, 0]))
    bits, before = "", 0
    for level in levels:
        value = 8 * (level - 128)
        difference, before = value - before, value
        category = abs(difference).bit_length()
        bits += format(category, "04b")
        if category:
            bits += format(difference if difference > 0 else difference + (1 << category) - 1, "0%db" % category)
        bits += "0"
    bits += "1" * (-len(bits) % 8)
    data = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    return head + data.replace(b"\xff", b"\xff\0") + b"\xff\xd9"


def picture(number):
    blocks = (SIZE // 8) ** 2
    return jpeg([(number * 7 + block * 3) % 256 for block in range(blocks)])


class Camera(BaseHTTPRequestHandler):
    def log_message(self, *unused):
        pass

    def do_GET(self):
        name = self.path.split("?")[0].strip("/")
        if name == "locked":
            self.send_error(401)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=--frame")
        self.end_headers()
        number = 0
        try:
            while not (name == "short" and number == 30):
                data = picture(min(number, 20) if name == "frozen" else number)
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data))
                self.wfile.write(data + b"\r\n")
                number += 1
                time.sleep(0.02)
        except OSError:
            pass  # the client is gone


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True


if __name__ == "__main__":
    with Server(("127.0.0.1", 0), Camera) as server:
        with open(sys.argv[1] + ".partial", "w") as file:
            file.write(str(server.server_address[1]))
        os.rename(sys.argv[1] + ".partial", sys.argv[1])
        server.serve_forever()
