package server

import (
	"io"
	"net"
)

// drain says that no more replies follow, then reads input away until the client
// closes too, the socket's deadline passes, or lingerBytes have come.
func drain(nc net.Conn) {
	if closeWrite(nc) != nil {
		return
	}
	var buf [4 << 10]byte
	for total := 0; total < lingerBytes; {
		n, err := nc.Read(buf[:])
		if err != nil {
			return
		}
		total += n
	}
}

// closeWrite shuts down the sending side, after what was sent.
func closeWrite(nc net.Conn) error {
	half, ok := nc.(interface{ CloseWrite() error })
	if !ok {
		return io.ErrClosedPipe
	}
	return half.CloseWrite()
}

// hangUp closes a socket. An error means that it was closed or dead already.
func hangUp(nc net.Conn) { _ = nc.Close() }
