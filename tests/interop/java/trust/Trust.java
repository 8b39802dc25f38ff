/* Makes a Java trust store of a bundle of certificates in PEM: java Trust.java BUNDLE STORE. Its password is "public". */
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;

final class Trust {
    public static void main(String[] args) throws Exception {
        char[] password = "public".toCharArray();
        KeyStore store = KeyStore.getInstance("PKCS12");
        int number = 0;

        store.load(null, password);
        try (InputStream bundle = new FileInputStream(args[0])) {
            for (Certificate certificate : CertificateFactory.getInstance("X.509").generateCertificates(bundle))
                store.setCertificateEntry("certificate-" + number++, certificate);
        }
        try (OutputStream out = new FileOutputStream(args[1])) {
            store.store(out, password);
        }
    }
}
